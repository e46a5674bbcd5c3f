"""The canonical form of a sealed file, the only one that is written or accepted (``docs/sealed-file.md``).

These are pure functions of bytes and plain values that need only Python's standard library. Both the server, which
writes sealed files, and the verifier, which reads them, use them.

* :mod:`.syntax`: objects in their canonical spelling;
* :mod:`.revisions`: the revisions of a file, byte for byte;
* :mod:`.graph`: the order in which objects are numbered;
* :mod:`.rendition`: the first revision, which is what signers were shown;
* :mod:`.overlays`: how stamps are drawn over a page;
* :mod:`.completion`: the second revision: stamps, audit pages, evidence, the seal;
* :mod:`.timestamps`: later revisions: validation data and a document timestamp each.
"""
