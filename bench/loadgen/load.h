// Sends the calls, and tells two tallies what became of them.
#pragma once

#include "options.h"
#include "tally.h"

struct Tallies {
  Tally good;
  Tally rubbish;  // of the callers that send rubbish
};

// Throws std::runtime_error if a file cannot be read or nobody answers at the target.
Tallies Load(const Options& options);
