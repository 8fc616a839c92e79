// What is needed to undo changes in place: the elements and places on the tape of tensors as they were before.
#pragma once
#include <nanobind/nanobind.h>

#include <unordered_set>

#include "bindings/tensor.h"
#include "tape/transform.h"

namespace pb::py {

// While one is open in a thread, the first change of each storage and of each tensor is kept, if they are older.
class Journal {
 public:
  Journal();
  ~Journal() { close(); }
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  void undo();  // everything is as it was when the journal was opened, or undone last
  void close();  // the changes stay

  static bool any_open();
  static void before_change(const Array& elements);
  static void before_move(TensorObject* t);  // to another place on the tape

 private:
  struct Elements {
    Ref<Storage> storage, copy;
    uint32_t version;
    const std::string* changed_by;
  };
  struct Place {
    Owned tensor;
    Var var;
  };
  struct Under {  // what lies under a layer
    Ref<ValueLayer> layer;
    Var value, tangent;
  };
  void keep(Storage& s);
  void keep(TensorObject* t);
  void forget();

  uint32_t epoch_;
  bool open_ = true;
  std::vector<Elements> elements_;
  std::vector<Place> places_;
  std::vector<Under> layers_;
  std::unordered_set<const void*> known_;
};

void init_journal(nanobind::module_& m);

}  // namespace pb::py
