"""Connections of each kind, as texts and as they are published."""

from __future__ import annotations

from agents.connections.connection import Connection
from agents.connections.parse import load_connections
from agents.connections.published import PublishedConnection, PublishedConnections

CRM = """
name: crm
kind: webhook
label: The CRM
use: {projects: [shop], keys: [marketing]}
administer: [crm-team]
webhook:
  url: https://crm.example/coupons/${campaign}
  headers: {Authorization: {secret: CRM_TOKEN}}
  parameters:
    campaign: {type: choice, choices: [spring, summer], required: true, help: which coupons}
    percent: {type: number, default: 5}
    text: {default: Dear Member, help: the text that is sent}
  json: {text: "${text}", percent: "${percent}", user: "${user_id}"}
"""
LAKE = """
name: lake
kind: kafka
kafka:
  bootstrap: b1.example:9093,b2.example:9093
  security_protocol: SASL_SSL
  sasl_mechanism: SCRAM-SHA-512
  sasl_username: turnstile
  sasl_password: {secret: LAKE}
"""
HUBS = "{name: hubs, kind: eventhub, eventhub: {namespace: x.servicebus.windows.net}}"
FILES = """
name: files
kind: object_store
object_store: {url: s3://audiences/out/, endpoint: https://oss.example, key_id: AK, key: {secret: SK}}
"""
SFTP = f"""
name: dropbox
kind: sftp
sftp:
  host: sftp.example
  user: turnstile
  password: {{secret: SFTP}}
  fingerprints: ["SHA256:{"a" * 43}"]
"""
ALL = (CRM, LAKE, HUBS, FILES, SFTP)


def connection(text: str) -> Connection:
    (found,) = load_connections([("c.yaml", text)])
    return found


def published(*texts: str) -> PublishedConnections:
    found = [connection(each) for each in texts]
    return {each.key: PublishedConnection(each, 1) for each in found}
