// What Pulumi.yaml names: the CLI runs a program in the directory of its main file, and everything is found from here.
module.exports = require("./tools/start.cjs");
