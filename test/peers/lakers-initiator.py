"""lakers as an EDHOC initiator: each line of standard input is JSON that says what to do, each line of output what came of it.

{"start": C_I, "own": CCS, "secret": …, "peer": CCS}   {"message": message_1}
{"message_2": …}                                       {"message": message_3, "connection": C_R, "id": ID_CRED_R}
{"message_4": …}                                       {"secret": …, "salt": …}
{"without": true}                                      the same, without message_4

All values in hexadecimal. What lakers refuses is {"error": …}.
"""

import json
import sys

import lakers


class Peer:
    def start(self, request):
        self.own = bytes.fromhex(request["own"])
        self.secret = bytes.fromhex(request["secret"])
        self.peer = bytes.fromhex(request["peer"])
        self.initiator = lakers.EdhocInitiator()
        ead = [lakers.EADItem(label, is_critical=label < 0) for label in request.get("ead", [])]
        return {"message": self.initiator.prepare_message_1(bytes.fromhex(request["start"]), ead).hex()}

    def message_2(self, request):
        message = bytes.fromhex(request["message_2"])
        connection, id_cred, _ead = self.initiator.parse_message_2(message)
        self.initiator.verify_message_2(self.secret, self.own, self.peer)
        style = lakers.CredentialTransfer.ByReference
        message_3, _prk = self.initiator.prepare_message_3(style, None)
        return {"message": message_3.hex(), "connection": connection.hex(), "id": id_cred.hex()}

    def message_4(self, request):
        self.initiator.process_message_4(bytes.fromhex(request["message_4"]))
        return self.exported()

    def without(self, _request):
        self.initiator.completed_without_message_4()
        return self.exported()

    def exported(self):
        secret = self.initiator.edhoc_exporter(0, [], 16)
        salt = self.initiator.edhoc_exporter(1, [], 8)
        return {"secret": bytes(secret).hex(), "salt": bytes(salt).hex()}


peer = Peer()
for line in sys.stdin:
    request = json.loads(line)
    action = next(name for name in ("start", "message_2", "message_4", "without") if name in request)
    try:
        answer = getattr(peer, action)(request)
    except BaseException as error:  # lakers panics on some messages, which is no Exception
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
