"""What tests of lakefmt, and of stores and tools built on it, are made of; nothing here is imported by the library."""
