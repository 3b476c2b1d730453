/* foundry.h - all of Foundry. See README.md for the ladder of things, and each header for its part:
 *
 *   status.h     how failures are told           context.h   opening a device
 *   format.h     number formats                  tensor.h    tensors, pools, views
 *   kernel.h     describing kernels              run.h       running kernels and programs
 *   kernels.h    the shipped kernels, typed      submit.h    several pieces of work in flight
 *   profile.h    seeing where time goes
 *   gguf.h       model files                     tokenizer.h text to tokens and back
 *   chat.h       chat templates                  model.h     models and sessions
 *   generate.h   text from a session             conversation.h  messages to and fro
 *   gguf_write.h writing model files             quantize.h  weights from one format into another
 *   synth.h      models with random weights      batch.h     several sequences decoded together
 *   version.h    which Foundry this is
 */
#ifndef FOUNDRY_FOUNDRY_H
#define FOUNDRY_FOUNDRY_H

#include "foundry/batch.h"
#include "foundry/chat.h"
#include "foundry/context.h"
#include "foundry/conversation.h"
#include "foundry/format.h"
#include "foundry/generate.h"
#include "foundry/gguf.h"
#include "foundry/gguf_write.h"
#include "foundry/kernel.h"
#include "foundry/kernels.h"
#include "foundry/model.h"
#include "foundry/profile.h"
#include "foundry/quantize.h"
#include "foundry/run.h"
#include "foundry/status.h"
#include "foundry/submit.h"
#include "foundry/synth.h"
#include "foundry/tensor.h"
#include "foundry/tokenizer.h"
#include "foundry/version.h"

#endif
