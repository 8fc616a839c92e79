// Views on the tape: where a view lies in its base, and what a change in place of the one makes of the other.
// With layers (tape/transform.h) the same holds for each of the values that a tensor consists of.
#pragma once
#include "tape/tape.h"

namespace pb {

// Elements and their place on the tape, written over those of `to`.
void copy_into(Var& to, const Var& from);

// The node of `view`, elements of `base`, as a function of the base.
Ref<Node> record_view(const Var& base, const Array& view);
// The node of the base after a change of `view`, which stands on the tape as a value of its own.
Ref<Node> record_slices(const Var& base, const Var& view);

// A tangent in memory as its value is, with the same steps from element to element wherever these do not share memory:
// so what can be viewed in the one can be viewed in the other, and a change in place reaches the views of both.
Var laid_out_as(const Meta& m, Var tangent);

// For values with layers. `view` is what a program sees of the elements.
Var viewed(const Var& base, const Array& view);
// What a base has become by a change in place of its view: the elements are changed already.
Var rebased(const Var& base, const Var& view);

}  // namespace pb
