// Runs a compiled check against a server: node runners/node.js MODULE ORIGIN

const [module, origin] = process.argv.slice(2);
await (await import(`../node_modules/.contract/${module}`)).default(origin);
