// Runs compiled checks: node run.js ORIGIN FILE...

const [origin, ...files] = process.argv.slice(2);
let failures = 0;
for (const file of files) {
  try {
    await (await import(file)).default(origin);
  } catch (err) {
    failures++;
    console.log(`${file}: ${err}`);
  }
}
process.exit(failures > 0 ? 1 : 0);
