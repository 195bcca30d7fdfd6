"""moto on a free loopback port, checking signatures and policies, for as long as its standard input is open.

The first line it prints says where it answers and which keys it knows: of a user with the rights that the setup guides ask for, of one
that may do nothing, and of the owner. Each line of standard input is a call that somebody else makes, by boto3 with the owner's keys, and is answered by a line.
"""

import importlib.metadata
import json
import os
import sys
import threading

import boto3
from moto import settings
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

REGION = "eu-central-1"
BUCKET = "acme-orders"


class Quiet(MotoRequestHandler):
    def log(self, *_):
        pass


server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True, request_handler=Quiet)
url = f"http://127.0.0.1:{server.server_port}"
threading.Thread(target=server.serve_forever, daemon=True).start()


def client(service, key="unsigned", secret="unsigned"):
    options = {"endpoint_url": url, "region_name": REGION, "aws_access_key_id": key, "aws_secret_access_key": secret}
    return boto3.client(service, **options)


def user(name, allowed):
    """The keys of a user who may do this."""
    iam = client("iam")
    iam.create_user(UserName=name)
    if allowed:
        statements = [{"Effect": "Allow", "Action": actions, "Resource": resource} for actions, resource in allowed]
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"access_key_id": key["AccessKeyId"], "secret_access_key": key["SecretAccessKey"]}


# Until the checks begin everybody may do everything.
crossdock = user(
    "crossdock",
    [
        (["s3:ListBucket"], f"arn:aws:s3:::{BUCKET}"),
        (["s3:GetObject", "s3:PutObject"], f"arn:aws:s3:::{BUCKET}/*"),
        (["sqs:SendMessage"], "*"),
    ],
)
stranger = user("stranger", [])
owner = user("owner", [(["s3:*", "sqs:*"], "*")])
client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
queue_url = client("sqs").create_queue(QueueName="orders")["QueueUrl"]
fifo_url = client("sqs").create_queue(QueueName="orders.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
settings.INITIAL_NO_AUTH_ACTION_COUNT = 0

said = {
    "url": url,
    "version": importlib.metadata.version("moto"),
    "region": REGION,
    "bucket": BUCKET,
    "queue_url": queue_url,
    "fifo_url": fifo_url,
    "crossdock": crossdock,
    "stranger": stranger,
    "owner": owner,
}
print(json.dumps(said), flush=True)

clients = {service: client(service, owner["access_key_id"], owner["secret_access_key"]) for service in ("s3", "sqs")}
for line in sys.stdin:
    call = json.loads(line)
    try:
        answer = getattr(clients[call["service"]], call["call"])(**call["arguments"])
        if hasattr(answer.get("Body"), "read"):
            answer["Body"] = answer["Body"].read().decode()
        answer = {"answer": answer}
    except Exception as error:  # Whoever asked decides what it means.
        answer = {"error": str(error)}
    print(json.dumps(answer, default=str), flush=True)
os._exit(0)
