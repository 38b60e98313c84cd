// The network of ../network with the newest PDS: the same script, with the packages of this folder.
globalThis.importDevEnv = () => import('@atproto/dev-env')
await import('../network/server.mjs')
