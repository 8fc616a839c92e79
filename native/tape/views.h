// Views on the tape: where a view lies in its base, and what a change in place of the one makes of the other.
// With layers (tape/transform.h) the same holds for the values; tangents are worked out.
#pragma once
#include "tape/transform.h"

namespace pb {

// The place of a view whose history a change of its elements made wrong, while nobody looked.
class LostNode final : public Node {
 public:
  LostNode(Ref<Node> node_before, std::string reason)
      : before(node_before && node_before->is_leaf() ? Ref<Node>() : std::move(node_before)),
        why(std::move(reason)) {
    scopes = kPerhapsLost;
  }
  static const LostNode* from(const Node* n) {
    return n && n->scopes & kPerhapsLost ? dynamic_cast<const LostNode*>(n) : nullptr;
  }
  const std::string& name() const override { return before ? before->name() : why; }
  uint32_t outputs() const override { return before ? before->outputs() : 1; }
  void run(std::span<Var>, std::span<Var>, const BackwardMode&) override { refuse_if_lost(*this); }

  const Ref<Node> before;  // null: it counted as a leaf
  const std::string why;
};

// Refuses a view that reaches between the elements of its base: changes of the one could not be followed by the other.
void check_places(const Array& view, const Array& base);
// The node of `view`, elements of `base`, as a function of the base.
Ref<Node> record_view(const Var& base, const Array& view);
// The node of the base after a change of `view`, which stands on the tape as a value of its own.
Ref<Node> record_slices(const Var& base, const Var& view);

// A view after its base was changed through another view, or gained a layer.
Var viewed(const Var& base, const Var& view);
// What a base has become by a change in place of its view, whose node was `before`: the elements are changed
// already, so that the base only moves on on the tape; its tangent is replaced.
Var rebased(const Var& base, const Var& view, const Node* before);
// v with samples of its own for a level, in new memory in which each of them is laid out as v.
Var with_samples(const Var& v, Level* level);

}  // namespace pb
