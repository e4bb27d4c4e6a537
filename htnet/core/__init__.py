"""What every room uses: types, errors, names of action units, identity, files, parallel work."""
