"""What the tests share: one concern a file. Nothing in this folder is a test."""
