// Every scenario: {name, run(session)} and, where it applies,
//   once: true         it does not depend on transport and protocol (else it runs for each combination)
//   only: "node"       it needs that runner
//   ours: "reason"     the original ASP.NET Core server does otherwise, and why we do not

import { clock } from "./clock.js";
import { connect } from "./connect.js";
import { endings } from "./endings.js";
import { errors } from "./errors.js";
import { groups } from "./groups.js";
import { invoke } from "./invoke.js";
import { negotiate } from "./negotiate.js";
import { outages } from "./outages.js";
import { results } from "./results.js";
import { streams } from "./streams.js";

export const scenarios = [connect, clock, invoke, errors, streams, results, groups, negotiate, endings, outages].flat();
