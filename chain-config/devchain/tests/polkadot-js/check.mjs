// Uses a running chain the way wallets and pages do, through @polkadot/api, unchanged and unconfigured.
// Arguments: URL CODE. Prints one JSON object: what was seen. Any surprise is an exception and exit code 1.
import { ApiPromise, Keyring, WsProvider } from '@polkadot/api';

const [url, code] = process.argv.slice(2);
const UNIT = 1_000_000_000_000n;
const seen = {};

const api = await ApiPromise.create({ provider: new WsProvider(url), noInitWarn: true });
const keys = new Keyring({ type: 'sr25519' });
const [alice, bob, dave, eve] = ['//Alice', '//Bob', '//Dave', '//Eve'].map((uri) => keys.addFromUri(uri));

seen.chain = (await api.rpc.system.chain()).toString();
seen.symbol = api.registry.chainTokens[0];
seen.metadata = api.runtimeMetadata.version;

// Values: one, past, all, watched.
const before = (await api.query.system.account(bob.address)).data.free.toBigInt();
const genesis = await api.at(api.genesisHash);
seen.atGenesis = ((await genesis.query.system.account(bob.address)).data.free.toBigInt() / UNIT).toString();
seen.accounts = (await api.query.system.account.entries()).length >= 6;
seen.head = await new Promise((resolve) => api.rpc.chain.subscribeNewHeads((head) => resolve(head.number.toNumber() >= 0)));
const watched = [];
const unwatch = await api.query.system.account(bob.address, ({ data }) => watched.push(data.free.toBigInt()));

// Fee and transfer, with the statuses in the order scripts wait for.
const transfer = api.tx.balances.transferKeepAlive(bob.address, UNIT);
const { partialFee } = await transfer.paymentInfo(alice);
seen.feeKnown = partialFee.toBigInt() > 0n;
const sent = await send(transfer, alice);
seen.statuses = sent.statuses;
seen.transferEvents = ['balances.Transfer', 'transactionPayment.TransactionFeePaid', 'system.ExtrinsicSuccess'].every((name) =>
  sent.events.includes(name)
);
seen.received = ((await api.query.system.account(bob.address)).data.free.toBigInt() - before).toString();
while (watched.at(-1) !== before + UNIT) await new Promise((resolve) => setTimeout(resolve, 10));
unwatch();
seen.watched = watched.length;

// Twenty in flight, nonces out of order.
const first = (await api.rpc.system.accountNextIndex(dave.address)).toNumber();
const flights = Array.from({ length: 20 }, (_, step) => first + (((step + 1) * 7) % 20));
const landed = await Promise.all(flights.map((nonce) => send(api.tx.balances.transferKeepAlive(bob.address, UNIT), dave, { nonce })));
seen.landed = landed.filter(({ events }) => events.includes('system.ExtrinsicSuccess')).length;

// A refusal is an exception with code, message and data.
seen.refusal = await transfer.signAndSend(dave, { nonce: first }).then(() => 'accepted', (error) => error.message);

// A contract: dry run, instantiate, dry run, call.
const made = await api.call.reviveApi.instantiate(eve.address, 0, null, null, { Upload: code }, '0x', null);
const deposit = (result) => (result.storageDeposit.isCharge ? result.storageDeposit.asCharge : 0);
const up = await send(api.tx.revive.instantiateWithCode(0, made.weightRequired, deposit(made), code, '0x', null), eve);
seen.instantiated = up.events.includes('revive.Instantiated');
const contract = made.result.asOk.addr.toHex();
const dry = await api.call.reviveApi.call(eve.address, contract, 0, null, null, '0x');
seen.returned = dry.result.asOk.data.toUtf8();
const called = await send(api.tx.revive.call(contract, 0, dry.weightRequired, deposit(dry), '0x'), eve);
seen.emitted = called.events.includes('revive.ContractEmitted');

await api.disconnect();
console.log(JSON.stringify(seen));

/** Signs, sends, and resolves when finalized, with status names in order and events as `pallet.Event`. */
function send(tx, signer, options = {}) {
  return new Promise((resolve, reject) => {
    const statuses = [];
    tx.signAndSend(signer, options, ({ status, events, dispatchError, isError }) => {
      statuses.push(status.type);
      if (isError || dispatchError) reject(new Error(`${status.type}: ${dispatchError}`));
      if (status.isFinalized) {
        resolve({ statuses, events: events.map(({ event }) => `${event.section}.${event.method}`) });
      }
    }).catch(reject);
  });
}
