// SPDX-License-Identifier: Apache-2.0
// One function a verb: declares its options at `app`. When the verb is chosen, its callback runs it and puts the exit status
// into `*exit_status`.
#pragma once

#include <CLI/CLI.hpp>

#include "axon/context.h"

namespace mlos::axon {

void AddInstall(CLI::App& app, Context& context, int* exit_status);
void AddConvert(CLI::App& app, Context& context, int* exit_status);
void AddList(CLI::App& app, Context& context, int* exit_status);
void AddInfo(CLI::App& app, Context& context, int* exit_status);
void AddUpdate(CLI::App& app, Context& context, int* exit_status);
void AddVerify(CLI::App& app, Context& context, int* exit_status);
void AddUninstall(CLI::App& app, Context& context, int* exit_status);
void AddRegister(CLI::App& app, Context& context, int* exit_status);
void AddUnregister(CLI::App& app, Context& context, int* exit_status);
void AddPs(CLI::App& app, Context& context, int* exit_status);
void AddTop(CLI::App& app, Context& context, int* exit_status);
void AddLoad(CLI::App& app, Context& context, int* exit_status);
void AddStop(CLI::App& app, Context& context, int* exit_status);
void AddVersions(CLI::App& app, Context& context, int* exit_status);
void AddRun(CLI::App& app, Context& context, int* exit_status);
void AddServe(CLI::App& app, Context& context, int* exit_status);
void AddDoctor(CLI::App& app, Context& context, int* exit_status);
void AddMirror(CLI::App& app, Context& context, int* exit_status);
void AddWhy(CLI::App& app, Context& context, int* exit_status);
void AddVersion(CLI::App& app, Context& context, int* exit_status);
void AddCompletion(CLI::App& app, Context& context, int* exit_status);

}  // namespace mlos::axon
