"""The form of a sealed file: the one that is written and the only one that is accepted (``docs/sealed-file.md``).

Pure functions of bytes and plain values; nothing here needs more than Python's standard library, and both the server,
which writes sealed files, and the verifier, which reads them, use it.

* :mod:`.syntax`: objects in one spelling;
* :mod:`.revisions`: the revisions of a file, byte for byte;
* :mod:`.graph`: in which order objects are numbered;
* :mod:`.rendition`: the first revision, which is what signers were shown;
* :mod:`.overlays`: how stamps are laid over a page;
* :mod:`.completion`: the second: stamps, audit pages, evidence, the seal;
* :mod:`.timestamps`: those that follow: validation data and a document timestamp each.
"""
