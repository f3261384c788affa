// The same for an agent that is an ES module: Node.js has its loader for these ready then.
import "./wait.cjs";
