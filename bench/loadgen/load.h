// Sends the calls, and counts their outcomes in two tallies.
#pragma once

#include "options.h"
#include "tally.h"

struct Tallies {
  Tally good;
  Tally rubbish;  // of the callers that send rubbish
};

// Throws std::runtime_error if a file cannot be read or no server answers at the target.
Tallies Load(const Options& options);
