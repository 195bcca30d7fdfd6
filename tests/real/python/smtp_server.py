"""aiosmtpd on a free loopback port, for as long as its standard input is open.

The first line it prints says which port; each further line is a mail as it came: envelope, headers and text.
"""

import email
import email.policy
import json
import sys

from aiosmtpd.controller import Controller


class Inbox:
    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        # As a server says of a mailbox that it does not have.
        if address.startswith("refused@"):
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        said = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "subject": mail["subject"],
            "message_id": mail["message-id"],
            "bcc": mail["bcc"],
            "text": mail.get_body(("plain",)).get_content(),
        }
        print(json.dumps(said), flush=True)
        return "250 OK"


controller = Controller(Inbox(), hostname="127.0.0.1", port=int(sys.argv[1]), ready_timeout=20)
controller.start()
print(json.dumps({"ready": True}), flush=True)
sys.stdin.read()
controller.stop()
