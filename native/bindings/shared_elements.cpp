#include "bindings/shared_elements.h"

#include "bindings/journal.h"
#include "tape/views.h"

namespace pb::py {
namespace {

// How many references to its elements a value itself has.
uint32_t references(const Var& v) {
  const Storage* s = v.array.storage.get();
  uint32_t n = 1;
  for (const Var* p = &v; p->layer; ++n)
    if ((p = &layer_of(*p)->value)->array.storage.get() != s) return 0;
  return n;
}

void batches_of(const Var& v, std::vector<Level*>& found) {
  for (const Var* p = &v; p->layer; p = &layer_of(*p)->value) {
    Level* l = layer_of(*p)->level.get();
    if (l->kind == LayerKind::Batch && l->open) found.push_back(l);
  }
}

const ValueLayer* find_layer(const Var& v, const Level* l) {
  const Var* p = &v;
  while (p->layer && layer_of(*p)->level.get() != l) p = &layer_of(*p)->value;
  return layer_of(*p);
}
bool is_under(const Var& v, const Level* l) { return find_layer(v, l) != nullptr; }
bool samples_share(const Var& v, const Level* l) {
  const ValueLayer* layer = find_layer(v, l);
  if (!layer) return true;
  const Meta& m = *layer->value.array.meta;
  return m.size(0) > 1 && m.stride(0) == 0;
}

// A tensor that receives values of each sample gets samples of its own, if it was made inside the vmap and nothing
// but it and its views sees its elements.
void give_samples(TensorObject* self, const Application& a) {
  std::vector<Level*> wanted;
  for (const Argument& x : a.args)
    if (x.var) batches_of(*x.var, wanted);
  TensorObject* base = self->base ? self->base : self;
  for (Level* l : wanted) {
    const Var& v = var_of(base);
    const Array& elements = innermost(v).array;
    if (!samples_share(v, l) || elements.offset || !v.array.meta->is_dense) continue;
    const uint32_t known = references(v) * (1 + base->views);
    const bool own = elements.storage->born >= l->epoch && !elements.storage->borrowed();
    if (!is_under(v, l) && !(own && elements.storage->holders() == known)) continue;
    base->var = with_samples(v, l);
    ++base->rebases;
    if (base != self) refresh(self);
  }
}

}  // namespace

void change_under_layers(TensorObject* self, const Application& a) {
  Journal::before_move(self);
  if (self->base) Journal::before_move(self->base);
  give_samples(self, a);
  const Ref<Node> before = innermost(self->var).node;
  change_transformed(a);
  TensorObject* base = self->base ? self->base : self;
  if (base != self) base->var = rebased(base->var, self->var, before.get());
  ++base->rebases;
  if (base != self) refresh(self);
}

}  // namespace pb::py
