"""The journal: real files, real writers that are killed, real disks that are full."""
