"""Who belongs to the cluster: configurations, their changes, and what a quorum of them is."""
