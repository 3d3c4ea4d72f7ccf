// All models under the interleaving explorer, as one program.
#include "assay_testkit/model_main.hpp"

int main(int count, char** words) { return assay::testkit::models_main(count, words); }
