// For pages that keep themselves up to date: only the bar follows the box.

import { live } from "./live.js";

live(() => {}, { title: false });
