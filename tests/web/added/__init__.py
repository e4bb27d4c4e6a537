"""What this wing adds to tests that go over every command; see tests/support/wings.py."""
