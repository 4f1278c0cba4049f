"""The part of a connection that belongs to its kind."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from agents.connections.connection import AZURE_ACCOUNT, REGION, ObjectStore, Reached, Sftp
from agents.connections.parse_template import parse_template
from agents.deliver.definitions.hosts import NoHost, canonical_host
from agents.deliver.definitions.parse_targets import (
    EVENTHUB_NAMESPACE,
    KAFKA_CLUSTER,
    parse_cluster,
    parse_namespace,
)
from agents.deliver.definitions.parse_values import Fields
from agents.deliver.definitions.systems import EventHubNamespace, KafkaCluster
from agents.deliver.definitions.urls import UrlTemplate, UrlWrong

SCHEMES: Final = ("s3", "gs", "az")
MAX_PORT: Final = 65_535
_PLACE: Final = re.compile(r"(s3|gs|az)://[A-Za-z0-9][A-Za-z0-9._-]{1,254}(/[^\x00-\x1f\x7f]*)?")
_HOST_KEY: Final = re.compile(r"(?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,2}(?: .*)?")
_FINGERPRINT: Final = re.compile(r"SHA256:[A-Za-z0-9+/]{43}=?")


def _kafka(fields: Fields) -> KafkaCluster:
    fields.reader.keys(fields.entries, fields.path, KAFKA_CLUSTER)
    return parse_cluster(fields, "it is the service's own cluster")


def _eventhub(fields: Fields) -> EventHubNamespace:
    fields.reader.keys(fields.entries, fields.path, (*EVENTHUB_NAMESPACE, "hub"))
    return replace(parse_namespace(fields), hub=fields.text("hub"))


def _object_store(fields: Fields) -> ObjectStore:
    allowed = ("url", "endpoint", "region", "key_id", "key", "session_token", "path_style")
    fields.reader.keys(fields.entries, fields.path, allowed)
    made = ObjectStore(
        url=fields.text("url", required="an object store needs 'url'") or "",
        endpoint=fields.text("endpoint"),
        region=fields.text("region"),
        key_id=fields.secret_or_text("key_id"),
        key=fields.secret("key"),
        session_token=fields.secret("session_token"),
        path_style=fields.flag("path_style", True),
    )
    if made.url and (_PLACE.fullmatch(made.url) is None or ".." in made.folder.split("/")):
        hint = "such as s3://bucket/folder; what speaks S3 elsewhere has an endpoint beside it"
        fields.wrong("url", "url must be s3://, gs:// or az://, a bucket, and perhaps a folder", hint)
        return made
    if made.endpoint is not None:
        try:
            if UrlTemplate.parse(made.endpoint).names:
                fields.wrong("endpoint", "an endpoint holds no variables")
        except UrlWrong as error:
            fields.wrong("endpoint", str(error).replace("url", "endpoint"))
    _check_keys(fields, made)
    return made


def _check_keys(fields: Fields, made: ObjectStore) -> None:
    for key in {"s3": (), "gs": ("region", "key_id"), "az": ("region",)}.get(made.scheme, ()):
        if key in fields.entries:
            fields.wrong(key, f"'{key}' has no effect with {made.scheme}://")
    if made.scheme != "s3":
        for key in ("session_token", "path_style"):
            if key in fields.entries:
                fields.wrong(key, f"'{key}' has no effect with {made.scheme}://")
    if made.scheme == "s3" and ("key_id" in fields.entries) is not ("key" in fields.entries):
        message = "key_id and key belong together: give both, or neither for the identity of the process"
        fields.reader.problem("missing_key", message, fields.path, fields.at)
    if made.scheme == "s3" and made.endpoint is None and made.region is None:
        message = "a bucket of S3 needs its 'region', or an 'endpoint'"
        fields.reader.problem("missing_key", message, fields.path, fields.at)
    if made.region is not None and REGION.fullmatch(made.region) is None:
        fields.wrong("region", "region must be 1 to 64 letters, digits or hyphens")
    if made.scheme == "az" and isinstance(made.key_id, str) and AZURE_ACCOUNT.fullmatch(made.key_id) is None:
        fields.wrong("key_id", "a storage account is called by 3 to 24 lower-case letters and digits")
    if made.scheme == "az" and "key_id" not in fields.entries:
        message = "with az:// 'key_id' is needed: the name of the storage account"
        fields.reader.problem("missing_key", message, fields.path, fields.at)
    if made.session_token is not None and made.key is None:
        fields.wrong("session_token", "'session_token' has no effect without 'key'")


def _sftp(fields: Fields) -> Sftp:
    allowed = {*Sftp.__dataclass_fields__}
    fields.reader.keys(fields.entries, fields.path, allowed)
    made = Sftp(
        host=fields.text("host", required="an SFTP server needs 'host'") or "",
        user=fields.text("user", required="an SFTP server needs 'user'") or "",
        port=fields.whole("port", 22, 1, MAX_PORT),
        password=fields.secret("password"),
        private_key=fields.secret("private_key"),
        passphrase=fields.secret("passphrase"),
        host_keys=fields.texts("host_keys"),
        fingerprints=fields.texts("fingerprints"),
        folder=fields.text("folder") or "",
    )
    if made.host:
        try:
            canonical_host(made.host)
        except NoHost as error:
            fields.wrong("host", f"host: {error}", "the port stands under 'port'")
    if made.password is None and made.private_key is None:
        message = "an SFTP server lets us in by 'password' or by 'private_key'"
        fields.reader.problem("missing_key", message, fields.path, fields.at, "give one of the two, or both")
    if made.passphrase is not None and made.private_key is None:
        fields.wrong("passphrase", "'passphrase' has no effect without 'private_key'")
    _check_host_keys(fields, made)
    if ".." in made.folder.split("/"):
        fields.wrong("folder", "folder must not hold '..'")
    return made


def _check_host_keys(fields: Fields, made: Sftp) -> None:
    if "host_keys" not in fields.entries and "fingerprints" not in fields.entries:
        message = "an SFTP server needs 'host_keys' or 'fingerprints': otherwise anybody could pass for it"
        hint = "ssh-keyscan HOST prints host keys; compare them with what the server's owner says"
        fields.reader.problem("missing_key", message, fields.path, fields.at, hint)
    for each in made.host_keys:
        if _HOST_KEY.fullmatch(each) is None:
            hint = "as in a known_hosts file, without the host's name: ssh-ed25519 AAAA..."
            fields.wrong("host_keys", f"'{each[:40]}' is no public key", hint)
    for each in made.fingerprints:
        if _FINGERPRINT.fullmatch(each) is None:
            hint = "SHA256: and 43 characters, as ssh-keygen -lf prints it"
            fields.wrong("fingerprints", f"'{each[:60]}' is no fingerprint", hint)


PARSERS: Final[Mapping[str, Callable[[Fields], Reached]]] = {
    "kafka": _kafka,
    "eventhub": _eventhub,
    "webhook": parse_template,
    "object_store": _object_store,
    "sftp": _sftp,
}
