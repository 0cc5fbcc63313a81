// Records transactions.json and keystore.json: see ORIGIN.md. Prints nothing but what it wrote.
import { writeFileSync } from 'node:fs'
import { keccak256, parseTransaction } from 'viem'
import { mnemonicToAccount } from 'viem/accounts'
import { encryptKeystoreJsonSync } from 'ethers'

const PHRASE = 'bottom drive obey lake curtain smoke basket hold race lonely fit walk'
const CHAIN = 420420420
const account = mnemonicToAccount(PHRASE)
const key = Buffer.from(account.getHdKey().privateKey).toString('hex')
const to = mnemonicToAccount(PHRASE, { addressIndex: 1 }).address.toLowerCase()
const price = 10_000_000n

const bytes = (length) => '0x' + Array.from({ length }, (_, at) => (at * 7 % 256).toString(16).padStart(2, '0')).join('')
const own = { chainId: CHAIN, to, type: 'eip1559', maxFeePerGas: 2n * price, maxPriorityFeePerGas: 0n, gas: 2_000_000_000n }

async function signed(name, fields) {
  const raw = await account.signTransaction(fields)
  return { name, fields, raw, hash: keccak256(raw) }
}

// The number of the transaction whose signature has a part that begins with zeros: they are not written.
async function short(part) {
  for (let nonce = 100; ; nonce++) {
    const found = await signed(`a signature whose ${part} is short`, { ...own, nonce, value: 1n })
    if (parseTransaction(found.raw)[part].length < 66 || /^0x00/.test(parseTransaction(found.raw)[part])) return found
  }
}

const transactions = [
  await signed('the first transfer', { ...own, nonce: 0, value: 10n ** 18n }),
  await signed('a legacy transfer', { chainId: CHAIN, to, type: 'legacy', gasPrice: price, gas: 2_000_000_000n, nonce: 1, value: 5n }),
  await signed('a transfer with an empty access list', { chainId: CHAIN, to, type: 'eip2930', gasPrice: price, gas: 2_000_000_000n, nonce: 2, value: 5n }),
  await signed('no money', { ...own, nonce: 3, value: 0n }),
  await signed('one byte of data below 128', { ...own, nonce: 4, value: 0n, data: '0x7f' }),
  await signed('one byte of data from 128 on', { ...own, nonce: 5, value: 0n, data: '0x80' }),
  await signed('55 bytes of data', { ...own, nonce: 6, value: 0n, data: bytes(55) }),
  await signed('56 bytes of data', { ...own, nonce: 7, value: 0n, data: bytes(56) }),
  await signed('much data and money', { ...own, nonce: 8, value: 20n * 10n ** 18n, data: bytes(3_000) }),
  await signed('a high number', { ...own, nonce: 4_294_967_295, value: 1n }),
  await short('r'),
  await short('s'),
  await signed('another chain', { ...own, chainId: 1, nonce: 0, value: 1n }),
]
const plain = (_, value) => (typeof value === 'bigint' ? value.toString() : value)
writeFileSync('transactions.json', JSON.stringify({ address: account.address.toLowerCase(), key, transactions }, plain, 2) + '\n')

const kept = { address: account.address, privateKey: '0x' + key }
const keystore = encryptKeystoreJsonSync(kept, 'correct horse', { scrypt: { N: 1024, r: 8, p: 1 } })
writeFileSync('keystore.json', JSON.stringify(JSON.parse(keystore), null, 2) + '\n')
