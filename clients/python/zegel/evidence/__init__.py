"""What an auditor can read, port or install by itself: the log's proofs, the sealed file's form, and the verifier."""
