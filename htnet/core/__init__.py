"""Shared foundation: types, errors, action units, identity, files, parallel work."""
