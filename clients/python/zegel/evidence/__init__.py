"""What an auditor reads, ports or installs alone: the log's proofs, the form of a sealed file, and the verifier."""
