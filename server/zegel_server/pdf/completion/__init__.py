"""What is added to a rendition once everybody has signed: stamps, audit pages, evidence, the seal."""
