#pragma once

#include <memory>

#include "hub/base/passphrase-prompt.h"
#include "hub/link/connect-options.h"
#include "hub/pass/spoke-report.h"

namespace pibrain {

// Options for a connection that note in the report, which has to outlive them, what there is to
// tell.
ConnectOptions reportingTo(SpokeReport& report, std::shared_ptr<Passphrases> passphrases);

}  // namespace pibrain
