#include "bindings/journal.h"

#include <cstring>

#include "bindings/saved_hooks.h"

namespace pb::py {
namespace {

int64_t open_count = 0;  // in all threads
std::vector<Journal*>& journals() {
  static thread_local std::vector<Journal*> open;
  return open;
}

}  // namespace

Journal::Journal() : epoch_(++Storage::epoch) {
  journals().push_back(this);
  ++open_count;
  choose_watcher();
}

void Journal::close() {
  if (!open_) return;
  open_ = false;
  std::erase(journals(), this);
  --open_count;
  choose_watcher();
  forget();
}

void Journal::forget() {
  known_.clear();
  elements_.clear();
  places_.clear();
  layers_.clear();
}

bool Journal::any_open() { return open_count > 0; }

void Journal::before_change(const Array& elements) {
  for (Journal* j : journals()) j->keep(*elements.storage);
}

void Journal::before_move(TensorObject* t) {
  if (open_count)
    for (Journal* j : journals()) j->keep(t);
}

void Journal::keep(Storage& s) {
  if (s.born >= epoch_ || !known_.insert(&s).second) return;
  Ref<Storage> copy = Storage::allocate(s.bytes());
  std::memcpy(copy->data(), s.data(), s.bytes());
  elements_.push_back({Ref<Storage>(&s), std::move(copy), s.version, s.changed_by});
}

void Journal::keep(TensorObject* t) {
  if (innermost(t->var).array.storage->born >= epoch_ || !known_.insert(t).second) return;
  places_.push_back({Owned::borrow(reinterpret_cast<PyObject*>(t)), t->var});
  for (const Var* v = &t->var; v->layer; v = &layer_of(*v)->value) {
    ValueLayer* l = layer_of(*v);
    if (known_.insert(l).second) layers_.push_back({Ref<ValueLayer>(l), l->value, l->tangent});
  }
}

void Journal::undo() {
  // Backwards: an alias may have been kept after a change of the memory that it shares.
  for (auto e = elements_.rbegin(); e != elements_.rend(); ++e) {
    std::memcpy(e->storage->data(), e->copy->data(), e->copy->bytes());
    e->storage->version = e->version;
    e->storage->changed_by = e->changed_by;
  }
  for (Under& u : layers_) {
    u.layer->value = u.value;
    u.layer->tangent = u.tangent;
  }
  for (Place& p : places_) {
    TensorObject* t = as_tensor(p.tensor.get());
    t->var = p.var;
    ++t->rebases;
  }
  forget();
}

void init_journal(nanobind::module_& m) {
  nanobind::class_<Journal>(m, "Journal", "Keeps what is changed in place, to undo it.")
      .def(nanobind::init<>())
      .def("undo", &Journal::undo)
      .def("close", &Journal::close);
}

}  // namespace pb::py
