"""Who runs a sweep: a lock, which the system releases, and a lease, which holds on network disks."""
