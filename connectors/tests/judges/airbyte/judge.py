"""Runs one manifest through the reference implementation and prints what it read.

Standard input: {"manifest": {...}, "config": {...}, "state": {"stream": {...}}, "streams": ["..."]}
Standard output, last line: {"records": {"stream": [...]}, "states": {"stream": {...}}, "failed": ["stream"]}
"""

import json
import logging
import signal
import sys

from airbyte_cdk.models import AirbyteStateMessageSerializer, ConfiguredAirbyteCatalogSerializer
from airbyte_cdk.sources.declarative.concurrent_declarative_source import ConcurrentDeclarativeSource


SECONDS_MAX = 120


def main() -> None:
    signal.alarm(SECONDS_MAX)
    asked = json.load(sys.stdin)
    catalog = ConfiguredAirbyteCatalogSerializer.load(
        {
            "streams": [
                {
                    "stream": {
                        "name": name,
                        "json_schema": {},
                        "supported_sync_modes": ["full_refresh", "incremental"],
                        "source_defined_cursor": True,
                    },
                    "sync_mode": "incremental",
                    "destination_sync_mode": "append",
                }
                for name in asked["streams"]
            ]
        }
    )
    state = [
        AirbyteStateMessageSerializer.load(
            {"type": "STREAM", "stream": {"stream_descriptor": {"name": name}, "stream_state": own}}
        )
        for name, own in asked["state"].items()
    ]
    source = ConcurrentDeclarativeSource(
        catalog=catalog, config=asked["config"], state=state, source_config=asked["manifest"]
    )
    records: dict = {name: [] for name in asked["streams"]}
    states: dict = {}
    failed = []
    try:
        for message in source.read(logging.getLogger("airbyte"), asked["config"], catalog, state):
            kind = message.type.value
            if kind == "RECORD":
                records[message.record.stream].append(message.record.data)
            elif kind == "STATE":
                stream = message.state.stream
                states[stream.stream_descriptor.name] = stream.stream_state.__dict__
            elif kind == "TRACE" and message.trace.error:
                descriptor = message.trace.error.stream_descriptor
                failed.append(descriptor.name if descriptor else "")
    except Exception as error:  # The reference ends a failed read so.
        print(f"ended: {error}", file=sys.stderr)
        failed.append("")
    print()
    print(json.dumps({"records": records, "states": states, "failed": failed}))


main()
