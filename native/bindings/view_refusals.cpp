#include "bindings/view_refusals.h"

#include "tape/transform.h"
#include "tape/views.h"

namespace pb::py {
namespace {

constexpr char kManyViews[] =
    " This view is the output of a function that returns multiple views. Such functions do not allow the "
    "output "
    "views to be modified inplace. You should replace the inplace operation by an out-of-place one.";
constexpr char kFunctionView[] =
    " This view was created inside a custom Function (or because an input was returned as-is) and the "
    "autograd "
    "logic to handle view+inplace would override the custom backward associated with the custom Function, "
    "leading to incorrect gradients. This behavior is forbidden. You can fix this by cloning the output of "
    "the "
    "custom Function.";

std::string ambiguous(const char* mode) {
  return concat(
      " Given that this use case is ambiguous and error-prone, it is forbidden. You can clarify your code ",
      "by moving both the view and the inplace either both inside the ", mode,
      " block (if you don't want the inplace to be tracked) or both outside (if you want the inplace to be ",
      "tracked).");
}

}  // namespace

std::string why_not(TensorObject* t, const char* changed) {
  const std::string why = t->multi_view      ? kManyViews
                          : t->function_view ? kFunctionView
                                             : ambiguous(t->inference_view ? "inference_mode" : "no_grad");
  if (t->inference_view) {
    return concat("A view was created in inference mode and ", changed, " modified inplace in normal mode.",
                  why);
  }
  const Var& v = innermost(t->var);
  const Node* node = v.node.get();
  if (const LostNode* lost = LostNode::from(node)) node = lost->before.get();
  constexpr char recorded[] = " modified inplace with grad mode enabled.";
  if (!node || node->is_leaf())
    return concat("A view was created in no_grad mode and ", changed, recorded, why);
  const bool unrecorded = t->no_grad_view && !t->multi_view && !t->function_view;
  return concat("Output ", v.nr, " of ", short_name(node->name()), " is a view ",
                unrecorded ? "of a view which was created in no_grad mode and " : "and ", changed,
                unrecorded ? recorded : " modified inplace.", why);
}

}  // namespace pb::py
