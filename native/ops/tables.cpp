#include "ops/tables.h"

#include <vector>

#include "ops/foreign.h"

namespace pb {

std::span<const KernelRow> kernel_rows() {
  static const std::vector<KernelRow> all = [] {
    std::vector<KernelRow> rows;
    for (const auto part :
         {view_gradient_rows(), reduction_rows(), row_rows(), order_rows(), product_rows(), indexing_rows(),
          axis_index_rows(), loss_rows(), assembling_rows(), foreign_rows()}) {
      rows.insert(rows.end(), part.begin(), part.end());
    }
    return rows;
  }();
  return all;
}

}  // namespace pb
