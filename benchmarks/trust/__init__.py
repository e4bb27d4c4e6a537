"""What users rely on, shown by runs that try to break it: hostile files, a faulty Hub, full disks, killed processes."""
