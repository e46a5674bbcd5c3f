"""Rotation of a tenant's key over many documents, while readers open the documents' keys."""

import asyncio
import random
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from zegel_server import clock
from zegel_server.crypto import RootKeys, open_root_keys
from zegel_server.db import Statement, bind, insert_into, open_database
from zegel_server.db.migrate import upgrade
from zegel_server.db.schema import document_versions, documents, tenants
from zegel_server.ids import new_id
from zegel_server.keys.rotation import Rotation
from zegel_server.keys.service import Keys, StoredDek
from zegel_server.keys.texts import encrypt_texts

BATCH: Final = 1_000
READERS_S: Final = 0.5
"""Seconds that rotation allows readers of old rows; a server allows ``rotation.READERS_S``."""

_TENANT: Final = insert_into(tenants)
_DOCUMENT: Final = insert_into(documents)
_VERSION: Final = insert_into(
    document_versions,
    *(each for each in document_versions.columns if not each.name.startswith("rendition_") and each.name != "findings"),
)
_READ: Final = Statement(document_versions.select().where(document_versions.c.document_id == bind("document_id")))


async def _fill(database: Any, keys: Keys, tenant_id: str, count: int) -> list[str]:
    """Inserts the rows of a new tenant's documents, without their content."""
    founded = await keys.found_tenant(tenant_id)
    now = clock.now()
    async with database.transaction() as transaction:
        await transaction.execute(
            _TENANT,
            tenant_id=tenant_id,
            pseudonym="bench",
            name="Bench",
            policy_version=1,
            create_time=now,
            revision=1,
            sensitive="",
        )
        await keys.store_tenant(transaction, founded)
    names, key = [], founded.text_key
    for start in range(0, count, BATCH):
        rows, versions = [], []
        for _ in range(min(BATCH, count - start)):
            document_id = new_id("doc")
            names.append(document_id)
            _, stored = await keys.new_dek(tenant_id, f"{document_id}/1")
            rows.append(
                {
                    "document_id": document_id,
                    "tenant_id": tenant_id,
                    "owner_id": "",
                    "signature_request_id": "",
                    "texts": encrypt_texts(key, {"title": "Lease"}, "document", document_id),
                    "texts_key_version": key.key_version,
                    "state": "ACTIVE",
                    "create_time": now,
                    "update_time": now,
                    "delete_time": None,
                    "end_time": None,
                    "revision": 1,
                    "merged": 0,
                }
            )
            versions.append(
                {
                    "document_id": document_id,
                    "version": 1,
                    "tenant_id": tenant_id,
                    "blob_prefix": document_id,
                    "header": bytes(40),
                    "size": 1,
                    "sha256": bytes(32),
                    "media_type": "application/pdf",
                    "pages": "[]",
                    "key_version": stored.key_version,
                    "wrapped_key": stored.wrapped_key,
                    "commitment": stored.commitment,
                    "create_time": now,
                }
            )
        async with database.transaction() as transaction:
            await transaction.execute_many(_DOCUMENT, rows)
            await transaction.execute_many(_VERSION, versions)
    return names


async def _measure(folder: Path, root_keys: RootKeys, count: int) -> tuple[float, int, int]:
    """Returns the seconds of one rotation, the number of reads meanwhile, and how many of them failed."""
    url = f"sqlite:///{folder / 'zegel.db'}"
    await upgrade(url)
    database = await open_database(url)
    keys = Keys(database, root_keys)
    tenant_id = new_id("ten")
    names = await _fill(database, keys, tenant_id, count)
    reads = failed = 0
    rotating = asyncio.create_task(Rotation(database, root_keys, readers_s=READERS_S).rotate(tenant_id))
    began = time.perf_counter()
    seconds = 0.0
    dice = random.Random(1)  # noqa: S311 - no secret
    while not rotating.done():
        document_id = dice.choice(names)
        reads += 1
        try:
            (row,) = await database.fetch(_READ, document_id=document_id)
            await keys.open_dek(
                tenant_id, f"{document_id}/1", StoredDek(row.key_version, row.wrapped_key, row.commitment)
            )
        except Exception as error:  # noqa: BLE001 - each is counted, and shown
            failed += 1
            print(f"a read failed: {error!r}", flush=True)
        await asyncio.sleep(0.001)
    seconds = time.perf_counter() - began - READERS_S
    rotated = await rotating
    if rotated.rewrapped < count:
        raise SystemExit(f"bench: {rotated.rewrapped} of {count} keys were wrapped anew")
    await database.close()
    return seconds, reads, failed


def rewrap(count: int) -> dict[str, Any]:
    """Measures with the local keyring, and with SoftHSM and OpenBao where they are installed.

    Args:
        count: Number of documents.
    """
    from support import openbao, softhsm, tools  # noqa: PLC0415 - the tests' support, found by bench/__init__

    figures: dict[str, Any] = {"rewrap_deks": count}
    reads = failed = 0
    programs = {"softhsm": "softhsm2-util", "openbao": "bao"}
    for name in ("local", "softhsm", "openbao"):
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zegel-bench-")))
            url = f"local:{folder / 'root.keyring'}"
            if name in programs:
                if tools.find(programs[name]) is None:
                    print(f"{programs[name]} is not installed (make tools installs it): left out", flush=True)
                    continue
                (folder / name).mkdir()
                if name == "softhsm":
                    url = stack.enter_context(softhsm.token(folder / name)).url
                else:
                    url = stack.enter_context(openbao.server(folder / name)).url()
            root_keys = open_root_keys(url)
            seconds, some, bad = asyncio.run(_with(folder, root_keys, count))
            key = "rewrap_seconds" if name == "local" else f"rewrap_seconds_{name}"
            figures[key] = round(seconds, 2)
            reads, failed = reads + some, failed + bad
    return {**figures, "rewrap_reads": reads, "rewrap_failed_reads": failed}


async def _with(folder: Path, root_keys: RootKeys, count: int) -> tuple[float, int, int]:
    try:
        return await _measure(folder, root_keys, count)
    finally:
        await root_keys.close()
