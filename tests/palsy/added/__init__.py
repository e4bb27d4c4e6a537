"""What this wing adds to tests that go over every command, reader or writer; see tests/support/wings.py."""
