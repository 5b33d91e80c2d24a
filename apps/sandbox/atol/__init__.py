"""The ATOL Online simulator: cash registers in the cloud, protocol of version 5."""
