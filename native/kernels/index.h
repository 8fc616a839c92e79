// Reading and writing at positions held in tensors: gather, scatter, indexing by tensors, masks, look-ups.
//
// Index views are int64. Every function checks all positions before its first write; a fault tells the
// caller which one, for torch's text ("index 5 is out of bounds for dimension 0 with size 3").
// Results never depend on the number of threads: where elements are added up, the work is cut by destination.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kernels/table.h"

namespace pb {

struct IndexFault {
  bool bad = false;
  int64_t index = 0;  // as the user gave it
  int64_t size = 0;  // of the axis
  int axis = 0;
  explicit operator bool() const { return bad; }
};

// The first of the positions outside [low, size); low is 0, or -size where negative positions count from
// the end.
IndexFault check_indices(const View& index, int64_t low, int64_t size, int axis);

enum class Combine : uint8_t { Set, Add, Prod, Mean, Amax, Amin };

// --- gather.cpp: index has the shape of out (gather) or at most that of src (scatter); no position is
// negative. What is combined needs a dtype with storage (visit_dtype); what is only moved may have any.

// out[i, j] = in[index[i, j], j] for dim 0, and so on. out and index have one shape.
IndexFault gather(const View& in, int dim, const View& index, const View& out);

// self[index[i, j], j] = src[i, j], or combined with it; src has at least index's shape. Later ones win for
// Set. Without include_self the old value of a place that is written does not take part.
IndexFault scatter(const View& self, int dim, const View& index, const View& src, Combine how,
                   bool include_self = true);
IndexFault scatter_fill(const View& self, int dim, const View& index, const void* scalar);

// --- advanced_index.cpp

// How a tensor is indexed by tensors: which axes they take and where the result has their common shape.
struct IndexPlan {
  std::vector<int64_t> shape;  // of the result
  int first = 0;  // the result's axes [first, first + index_ndim) are those of the index tensors
  int index_ndim = 0;
  std::vector<int> indexed;  // axes of self that an index tensor takes
  std::vector<int> before;  // the other axes of self that come before them in the result
  std::vector<int> after;  // ... and after them
};

// `taken[a]` says whether axis a of self has an index tensor (axes beyond it have none); index_shape is their
// broadcast shape. Index tensors on neighbouring axes leave their axes in place, otherwise they come first.
IndexPlan plan_index(std::span<const int64_t> self_shape, std::span<const bool> taken,
                     std::span<const int64_t> index_shape);

// self[..., i, :, j, ...] into out (of plan.shape). indices[a] belongs to axis a, at least one is there;
// each has index_shape (strides may be 0). Negative positions count from the end.
IndexFault index(const View& self, std::span<const std::optional<View>> indices, const View& out);

// self[..., i, j, ...] = values, or += when accumulating. values broadcasts to plan.shape.
IndexFault index_put(const View& self, std::span<const std::optional<View>> indices, const View& values,
                     bool accumulate);

// Along one axis, by a one-axis index (or one without axes).
IndexFault index_select(const View& in, int dim, const View& index, const View& out);
IndexFault index_add(const View& self, int dim, const View& index, const View& src, const void* alpha);
IndexFault index_copy(const View& self, int dim, const View& index, const View& src);
IndexFault index_fill(const View& self, int dim, const View& index,
                      const void* scalar);  // negative ones allowed

// In and into self as if it were flat; negative positions count from the end. For put self is contiguous.
IndexFault take(const View& in, const View& index, const View& out);
IndexFault put(const View& self, const View& index, const View& values, bool accumulate);

// Rows of weight [n, d] for each position; out is [..., d].
IndexFault embedding(const View& weight, const View& index, const View& out);
// weight_grad [n, d] = the sums of grad's rows, in order; rows of padding_idx are left out (-1: none), each
// row divided by how often its position occurs if scale_by_freq. Float32 and float64.
IndexFault embedding_backward(const View& grad, const View& index, const View& weight_grad,
                              int64_t padding_idx, bool scale_by_freq);

// --- masks.cpp

int64_t count_nonzero(const View& in);
void nonzero(const View& in, int64_t* out);  // [count, ndim]
void masked_select(const View& in, const View& mask, void* out);  // mask: bool, of in's shape
// self where mask = the next element of source (contiguous). A fault: index = elements needed, size = there
// are.
IndexFault masked_scatter(const View& self, const View& mask, const View& source);

// --- lookup.cpp

// out [..., classes] = 1 at each position. A fault's index is the class.
IndexFault one_hot(const View& index, int64_t classes, int64_t* out);

// How long bincount's result is: max + 1, at least minlength; a fault for a negative element.
IndexFault bincount_length(const View& in, int64_t minlength, int64_t* length);
void bincount(const View& in, int64_t length, int64_t* out);
// weights and out have one dtype, float32 or float64.
void bincount_weighted(const View& in, const View& weights, int64_t length, void* out);

// Where each value belongs in the sorted last axis of `sorted` (one axis, or the values' leading axes).
// `right`: behind equal elements. `sorter` (int64, of sorted's shape; or null) may give the order. sorted and
// values have one dtype; out is int64 or int32 and has the values' shape. A fault: sorter leads out of range.
IndexFault searchsorted(const View& sorted, const View& values, bool right, const View* sorter,
                        const View& out);

// The different elements; out has room for all, inverse and counts (int64, room for all) may be null.
// Returns how many there are. NaNs differ from each other and come last.
int64_t unique(const View& in, void* out, int64_t* inverse, int64_t* counts);
int64_t unique_consecutive(const View& in, void* out, int64_t* inverse, int64_t* counts);
// The same for the slices along dim (consecutive: only neighbours are compared). `first` receives where each
// different slice is found, in order: the result is index_select by it.
int64_t unique_slices(const View& in, int dim, bool consecutive, int64_t* first, int64_t* inverse,
                      int64_t* counts);

}  // namespace pb
