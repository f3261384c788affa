// Runs for as many seconds as the prompt says, then answers with that number.
let prompt = "";
for await (const chunk of process.stdin) prompt += chunk;
const seconds = Number(prompt);
await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
console.log(seconds);
