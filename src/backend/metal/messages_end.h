/* SPDX-License-Identifier: Apache-2.0 */
/* messages_end.h: forgets the macros that a reader of messages.def has defined. No include guard: it is
   included after each reading. */
#undef AMPS_MESSAGE0
#undef AMPS_MESSAGE_LARGE0
#undef AMPS_MESSAGE1
#undef AMPS_MESSAGE2
#undef AMPS_MESSAGE3
#undef AMPS_MESSAGE4
#undef AMPS_MESSAGE5
#undef AMPS_MESSAGE6
#undef AMPS_MESSAGE8
