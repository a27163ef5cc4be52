"""aiocoap as a server of one resource, `whoami`, for those who come by EDHOC. Prints the port that the system chose.

Arguments, in hexadecimal: its secret key, its credential and the credential that it knows (CWT Claims Sets).
"""

import asyncio
import logging
import sys

import cbor2
from aiocoap import Context, Message, resource
from aiocoap.credentials import CredentialsMap
from aiocoap.oscore_sitewrapper import OscoreSiteWrapper

from socket import AF_INET6, SOCK_DGRAM, socket


class WhoAmI(resource.Resource):
    async def render_get(self, request):
        claims = getattr(request.remote, "authenticated_claims", [])
        return Message(payload=",".join(claims).encode(), content_format=0)


def free_port():
    with socket(AF_INET6, SOCK_DGRAM) as probe:
        probe.bind(("::", 0))
        return probe.getsockname()[1]


# A handshake that is refused is no error of this program.
logging.disable(logging.ERROR)


async def main():
    secret, own, known = (bytes.fromhex(word) for word in sys.argv[1:])
    site = resource.Site()
    site.add_resource(["whoami"], WhoAmI())
    port = free_port()
    credentials = CredentialsMap()
    style = {"suite": 2, "method": 3}
    credentials.load_from_dict(
        {
            f"coap://127.0.0.1:{port}/*": {
                "edhoc-oscore": {
                    **style,
                    "own_cred_style": "by-key-id",
                    "own_cred": {14: cbor2.loads(own)},
                    "private_key": {1: 2, -1: 1, -4: secret},
                }
            },
            ":host": {"edhoc-oscore": {**style, "peer_cred": {14: cbor2.loads(known)}}},
        }
    )
    context = await Context.create_server_context(
        OscoreSiteWrapper(site, credentials), bind=("127.0.0.1", port)
    )
    context.server_credentials = credentials
    print(port, flush=True)
    await asyncio.get_running_loop().create_future()


asyncio.run(main())
