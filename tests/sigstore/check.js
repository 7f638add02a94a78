// SPDX-License-Identifier: Apache-2.0
//
// Judges DSSE envelopes in their JSON form with @sigstore/core:
//
//     node check.js DIRECTORY PEM <envelopes      DIRECTORY: where node_modules is
//
// One envelope a line; for each says "good" or "bad".
"use strict";

const [directory, pem] = process.argv.slice(2);
const { crypto, dsse } = require(require.resolve("@sigstore/core", { paths: [directory] }));
const fs = require("fs");

const key = crypto.createPublicKey(fs.readFileSync(pem, "utf8"));
for (const line of fs.readFileSync(0, "utf8").split("\n").filter(Boolean)) {
	const envelope = JSON.parse(line);
	const signed = dsse.preAuthEncoding(envelope.payloadType, Buffer.from(envelope.payload, "base64"));
	const good = envelope.signatures.some((s) => crypto.verify(signed, key, Buffer.from(s.sig, "base64"), "sha256"));

	console.log(good ? "good" : "bad");
}
