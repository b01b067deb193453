// Opens Chromium for the other modules of tests.

import { chromium } from "playwright-core";

/** A browser that dies before any page is opened says nothing of ours, and is started again. */
export async function launched(tries = 3) {
  try {
    return await chromium.launch({ executablePath: process.env.CHROMIUM });
  } catch (error) {
    if (tries === 1) throw error;
    return launched(tries - 1);
  }
}
