#pragma once

#include <memory>

#include "hub/base/passphrase-prompt.h"
#include "hub/link/connect-options.h"
#include "hub/pass/spoke-report.h"

namespace pibrain {

// Returns options for a connection that record warnings and the transport in the report, which must
// outlive them.
ConnectOptions reportingTo(SpokeReport& report, std::shared_ptr<Passphrases> passphrases);

}  // namespace pibrain
